class Engine:
    pass
COMMANDS = []
