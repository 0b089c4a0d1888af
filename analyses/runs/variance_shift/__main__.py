from analyses.experiment import main
from analyses.runs.variance_shift import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
