from analyses.ship import main

if __name__ == "__main__":
    main()
