from analyses.experiment import main
from analyses.logit_lens import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
