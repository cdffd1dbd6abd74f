"""Scorecards, frames and reports of run folders."""
