from analyses.shift_blanks.body import main

if __name__ == "__main__":
    main()
