from analyses.experiment import main
from analyses.one_list.answer import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
