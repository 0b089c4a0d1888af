from analyses.one_list.inside.body import main

if __name__ == "__main__":
    main()
