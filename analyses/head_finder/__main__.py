from analyses.head_finder.body import main

if __name__ == "__main__":
    main()
