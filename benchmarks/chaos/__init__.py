"""Everything is killed and every frame may be wrong: does the system come back right?"""
