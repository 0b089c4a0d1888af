"""The pages that ``streamlit run app.py`` serves. Drawing only: the numbers come from the library.

    shell.py     the list of pages, and the one that is shown
    server/      places.py    which folders may be opened, decided by whoever starts the server
                 models.py    opening a model once for all visitors
                 session.py   what a visitor has chosen, mirrored in the page's address
                 results.py   quick numbers, cached: an answer, exact match, attention
                 store.py     results that are kept
                 jobs.py      long results, computed in the background
                 menu.py      what the menu says of models, and lists that one gets wrong
                 history.py   the browser's history: one entry for one choice
                 preload.py   what pages need, imported before it is asked for
                 ahead.py     what the browser needs, loaded while the server works
                 runs.py      the training runs there are
    parts/       controls.py  the sidebar: model, list, and what is intervened on
                 study.py     an experiment over many lists: shipped, or asked for
                 background.py  a job's button and its bar
                 meaning.py   the one sentence on what a mask's outcome means
                 panel.py     a figure with its sentences, its downloads and its command
                 elements.py  messages, the strip of outputs
                 tokens.py    the sequence of tokens, to look around in, to play, to click on
                 by_click.py  interventions by such a click
                 sections.py  the parts of a long page, one of which is drawn
                 speech.py    the page's words, of the task that is open
                 rates.py     how many lists come out right, scored in the background
    pages/       a folder for each page, named as in its address; ``page.py`` draws it

A page is a function ``draw(view, places)`` of a ``controls.View``; ``shell.py`` lists them. Home is
drawn before a model is open.
"""
