from analyses.experiment import main
from analyses.runs.checkpoint_sweep import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
