from analyses.experiment import main
from analyses.heads.attention_patterns import EXPERIMENT

if __name__ == "__main__":
    main(EXPERIMENT)
