from analyses.one_list.blanks.body import main

if __name__ == "__main__":
    main()
