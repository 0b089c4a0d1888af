from analyses.experiment import main
from analyses.which_program import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
