from analyses.experiment import main
from analyses.one_list.direct import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
