from docs.build import ROOT, broken_links, command_page, measures_page, settings_file


def test_the_settings_file_is_current() -> None:
    assert (ROOT / "alphaplus.example.toml").read_text() == settings_file()


def test_the_command_page_is_current() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == command_page()


def test_the_index_of_measures_is_current() -> None:
    assert (ROOT / "docs" / "measures.md").read_text() == measures_page()


def test_no_link_is_broken() -> None:
    assert broken_links() == []


def test_readme_names_its_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "make run" in readme
    assert "make test" in readme
