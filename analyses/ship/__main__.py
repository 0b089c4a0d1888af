from analyses.ship.make import main

if __name__ == "__main__":
    main()
