from analyses.head_circuits.body import main

if __name__ == "__main__":
    main()
