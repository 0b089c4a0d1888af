from analyses.experiment import main
from analyses.runs.training_curves import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
