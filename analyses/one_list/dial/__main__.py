from analyses.experiment import main
from analyses.one_list.dial import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
