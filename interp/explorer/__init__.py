"""The pages that ``streamlit run app.py`` serves. Drawing only: the numbers come from the library.

What all pages share:

    shell.py     the list of pages, and the one that is shown
    places.py    which folders may be opened, decided by whoever starts the server
    models.py    opening a model once for all visitors
    session.py   what a visitor has chosen, mirrored in the page's address
    controls.py  the sidebar: model, list, and what is intervened on
    results.py   quick numbers, cached: an answer, exact match, attention
    store.py     long results, computed once and with a bar
    panel.py     a figure with its sentences, its downloads and the command that reproduces it
    parts.py     messages, the strip of outputs, the sequence

The pages, and beside them what else they are made of:

    sort.py            sort_steps.py
    attention_page.py  attention_views.py
    patch_page.py      patch_pair.py, patch_map.py, patch_one.py
    blanks_page.py     blanks_choice.py, blanks_exchange.py, blanks_many.py, blanks_parts.py
    inside_page.py     inside_views.py
    training_page.py   training_checkpoint.py; runs.py, the runs there are
    compare_page.py    compare_pair.py
    truth_page.py      truth_open.py, truth_words.py
    tour_page.py       tour_words.py

A page is a function ``draw(view, places)`` of a ``controls.View``; ``shell.py`` lists them.
"""
