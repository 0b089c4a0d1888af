from analyses.experiment import main
from analyses.settle import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
