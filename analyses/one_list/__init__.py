"""Experiments about one list: the figures that the explorer shows of the list in its sidebar.

    python -m analyses.one_list.attention --model blanks --list 3,1,4 --do zero:3-10

Each makes again, by typing, a figure of the page.
"""
