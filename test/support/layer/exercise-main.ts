/** `node exercise-main.ts LIBRARY FOLDER NAME`: prints the outcome as JSON. */
import { exercise } from './exercise.ts';

const [library = '', folder = '', by = ''] = process.argv.slice(2);
process.stdout.write(JSON.stringify(exercise(library, folder, by)));
