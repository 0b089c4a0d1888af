from analyses.align_program import EXPERIMENT
from analyses.experiment import main

if __name__ == "__main__":
    main(EXPERIMENT)
