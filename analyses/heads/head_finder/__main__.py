from analyses.experiment import main
from analyses.heads.head_finder import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
