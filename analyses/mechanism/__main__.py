from analyses.experiment import main
from analyses.mechanism import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
