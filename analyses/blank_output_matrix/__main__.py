from analyses.blank_output_matrix.body import main

if __name__ == "__main__":
    main()
