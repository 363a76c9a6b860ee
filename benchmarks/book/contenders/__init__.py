"""One file for each book under test; none imports another's library."""
