from analyses.one_list.without.body import main

if __name__ == "__main__":
    main()
