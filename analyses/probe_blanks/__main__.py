from analyses.experiment import main
from analyses.probe_blanks import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
