from analyses.attribution.body import main

if __name__ == "__main__":
    main()
