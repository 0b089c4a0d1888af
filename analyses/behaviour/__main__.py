from analyses.behaviour.body import main

if __name__ == "__main__":
    main()
