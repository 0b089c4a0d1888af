from analyses.experiment import main
from analyses.one_reader import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
