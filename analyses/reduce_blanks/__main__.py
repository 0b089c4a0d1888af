from analyses.experiment import main
from analyses.reduce_blanks import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
