from analyses.one_list.answer.body import main

if __name__ == "__main__":
    main()
