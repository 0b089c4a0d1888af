from analyses.known_answers.body import main

if __name__ == "__main__":
    main()
