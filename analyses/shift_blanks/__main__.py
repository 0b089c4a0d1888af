from analyses.experiment import main
from analyses.shift_blanks import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
