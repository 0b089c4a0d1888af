from analyses.experiment import main
from analyses.replication import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
