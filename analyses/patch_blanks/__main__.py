from analyses.patch_blanks.body import main

if __name__ == "__main__":
    main()
