from analyses.attention_patterns.body import main

if __name__ == "__main__":
    main()
