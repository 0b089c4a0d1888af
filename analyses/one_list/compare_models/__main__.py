from analyses.experiment import main
from analyses.one_list.compare_models import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
