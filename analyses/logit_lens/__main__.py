from analyses.logit_lens.body import main

if __name__ == "__main__":
    main()
