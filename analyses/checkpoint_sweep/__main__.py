from analyses.checkpoint_sweep.body import main

if __name__ == "__main__":
    main()
