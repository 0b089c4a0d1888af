from analyses.one_list.patch.body import main

if __name__ == "__main__":
    main()
