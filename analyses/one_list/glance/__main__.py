from analyses.one_list.glance.body import main

if __name__ == "__main__":
    main()
