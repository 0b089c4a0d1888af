from analyses.replication.body import main

if __name__ == "__main__":
    main()
