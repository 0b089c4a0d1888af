from analyses.compare_models.body import main

if __name__ == "__main__":
    main()
