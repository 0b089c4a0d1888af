from analyses.training_curves.body import main

if __name__ == "__main__":
    main()
