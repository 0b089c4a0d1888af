from analyses.experiment import main
from analyses.known_answers import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
