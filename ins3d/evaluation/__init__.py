"""Judging finished runs: consistency, style, content, blur, and the page that shows them."""
