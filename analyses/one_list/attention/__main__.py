from analyses.one_list.attention.body import main

if __name__ == "__main__":
    main()
